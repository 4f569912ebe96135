//! North shell: WebSocket, TLS, reconnect; drives `ocpp`.
