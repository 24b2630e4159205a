"""TLS as Slack has it: a certificate for this machine's names, signed by a new authority that no client trusts
yet.

Both are created when needed. They are valid until the year 9999, so that nothing depends on the current date.
"""

import ssl
import tempfile
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FROM, UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
NAMES = ("localhost", "slack.test")  # the second is for clients that use a proxy
ADDRESSES = ("127.0.0.1", "::1")


class Certificate:
    """A server's certificate in its own folder, until `remove`."""

    def __init__(self) -> None:
        authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        authority, name = _name("Sandbox authority"), _name("localhost")
        root = _signed(
            _builder(authority, authority, authority_key.public_key(), authority_key, ca=True), authority_key
        )
        names = [*map(x509.DNSName, NAMES), *(x509.IPAddress(ip_address(one)) for one in ADDRESSES)]
        builder = _builder(name, authority, key.public_key(), authority_key, ca=False)
        leaf = _signed(builder.add_extension(x509.SubjectAlternativeName(names), critical=False), authority_key)
        self._folder = tempfile.TemporaryDirectory(prefix="sandbox-tls-")
        folder = Path(self._folder.name)
        self.authority = folder / "authority.pem"  # for SSL_CERT_FILE of clients that trust the workspace
        self.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.chain = folder / "server.pem"  # the private key and the certificate
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.chain.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))

    def context(self) -> ssl.SSLContext:
        """The SSL context of a server that uses this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context

    def remove(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), FROM, UNTIL)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256())
