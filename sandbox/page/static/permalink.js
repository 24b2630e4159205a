// Addresses of messages as Slack writes them (acme.slack.com/archives/C0001/p1700000000000100), which this page
// opens itself, and the page's own: #C0001/p1700000000000100, and for a reply #C0001/1700000000.000100/p1700000001000200.

import { store } from "./store.js";

/** The page's own address for a permalink of this workspace; null for any other address. */
export function hashOf(url) {
  const match = /^\/archives\/(\w+)\/(p\d{7,})$/.exec(url.pathname);
  if (!match || !store.team || url.host !== `${store.team.domain}.slack.com`) return null;
  const root = url.searchParams.get("thread_ts");
  return /^\d+\.\d+$/.test(root ?? "") ? `#${match[1]}/${root}/${match[2]}` : `#${match[1]}/${match[2]}`;
}

/** What an address of the page shows: {place, thread, message}, the last two as time stamps or null. */
export function parseHash(hash) {
  const [place, ...parts] = decodeURIComponent(hash.slice(1)).split("/");
  const digits = parts.map((part) => /^p(\d{7,})$/.exec(part)?.[1]).find(Boolean);
  return {
    place,
    thread: parts.find((part) => /^\d+\.\d+$/.test(part)) ?? null,
    message: digits ? `${digits.slice(0, -6)}.${digits.slice(-6)}` : null,
  };
}
