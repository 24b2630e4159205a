"""Cells: several databases, each with the organizations that it holds, behind one `serve`.

`directory` finds the cell of a request, `front` passes requests of Slack on to it, `opening` opens the databases,
`identities` keeps the ids of different cells apart. With one database, nothing of this runs.
"""
