//! The installed program, run as its users run it.

mod commands;
mod image;
mod links;
mod oracle;
mod tls;
mod tree;
