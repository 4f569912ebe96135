//! The simulated world against code that does not know it: the profiles' own decoder, a foreign Modbus master, a
//! foreign WebSocket client.

mod csms;
mod devices;
mod lines;
