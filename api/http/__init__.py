"""HTTP/1.1 on sockets: connections with deadlines and bounds, and the ASGI side of one request."""
