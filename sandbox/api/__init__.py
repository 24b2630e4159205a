"""The Web API: one module for each family of methods, and `dispatch`, which handles each request first."""
