"""The Web API: one module for each family of methods, and `dispatch`, which a request goes through first."""
