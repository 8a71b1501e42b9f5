"""Records that cross a room boundary: what is stored, sent or counted. Light imports only."""
