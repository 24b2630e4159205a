"""What a responder asks for: one module for each verb, holding its slash form, its buttons and its forms."""
