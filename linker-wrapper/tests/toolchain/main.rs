//! The installed program, run as its users run it.

mod alignment;
mod commands;
mod cross;
mod image;
mod libraries;
mod links;
mod mentions;
mod oracle;
mod tls;
mod tree;
