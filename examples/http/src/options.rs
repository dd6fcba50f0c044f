//! The command line: `--ipv4=ADDRESS/PREFIX [--ipv4-gateway=ADDRESS]`.

use core::fmt;

use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

/// What the operator says on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server's address and the size of its network.
    pub ipv4: Ipv4Cidr,
    /// The router for everything outside that network.
    pub gateway: Option<Ipv4Address>,
}

/// What is wrong with a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<'a> {
    /// `--ipv4=` is not given.
    Missing,
    /// A word that is not an option of this server.
    Unknown(&'a str),
    /// An option given twice.
    Twice(&'a str),
    /// A value that is not an address with a prefix.
    Cidr(&'a str),
    /// A value that is not an address of one host.
    Address(&'a str),
    /// A gateway that cannot be reached, because it is outside the network.
    Outside(Ipv4Address),
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing => f.write_str("no address given")?,
            Error::Unknown(word) => write!(f, "unknown argument '{word}'")?,
            Error::Twice(name) => write!(f, "{name} given twice")?,
            Error::Cidr(text) => {
                write!(f, "'{text}' is not a host's IPv4 address with a prefix length")?;
            }
            Error::Address(text) => write!(f, "'{text}' is not a host's IPv4 address")?,
            Error::Outside(address) => {
                write!(f, "the gateway {address} is not in the network of --ipv4")?;
            }
        }
        f.write_str("; use --ipv4=10.0.0.2/24 [--ipv4-gateway=10.0.0.1]")
    }
}

impl Options {
    /// Reads the words of the command line.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn parse(command_line: &str) -> Result<Options, Error<'_>> {
        let mut ipv4 = None;
        let mut gateway = None;
        for word in command_line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some((name @ "--ipv4", value)) => set(&mut ipv4, name, cidr(value)?)?,
                Some((name @ "--ipv4-gateway", value)) => set(&mut gateway, name, host(value)?)?,
                _ => return Err(Error::Unknown(word)),
            }
        }
        let ipv4: Ipv4Cidr = ipv4.ok_or(Error::Missing)?;
        match gateway {
            Some(address) if !ipv4.contains_addr(&address) => Err(Error::Outside(address)),
            _ => Ok(Options { ipv4, gateway }),
        }
    }
}

fn set<'a, T>(option: &mut Option<T>, name: &'a str, value: T) -> Result<(), Error<'a>> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Twice(name)),
    }
}

fn cidr(text: &str) -> Result<Ipv4Cidr, Error<'_>> {
    let (address, prefix) = text.split_once('/').ok_or(Error::Cidr(text))?;
    let address = host(address).map_err(|_| Error::Cidr(text))?;
    match prefix.parse() {
        Ok(prefix @ 1..=32) => Ok(Ipv4Cidr::new(address, prefix)),
        _ => Err(Error::Cidr(text)),
    }
}

fn host(text: &str) -> Result<Ipv4Address, Error<'_>> {
    match text.parse::<Ipv4Address>() {
        Ok(address)
            if !address.is_unspecified()
                && !address.is_broadcast()
                && !address.is_multicast()
                && !address.is_loopback() =>
        {
            Ok(address)
        }
        _ => Err(Error::Address(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let options = Options::parse("--ipv4=10.0.0.2/24").unwrap();
        assert_eq!(options.ipv4, Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, 2), 24));
        assert_eq!(options.gateway, None);
        let options = Options::parse(" --ipv4-gateway=10.0.0.1  --ipv4=10.0.0.2/24 ").unwrap();
        assert_eq!(options.gateway, Some(Ipv4Address::new(10, 0, 0, 1)));
    }

    #[test]
    fn refused() {
        for (line, error) in [
            ("", Error::Missing),
            ("--ipv4-gateway=10.0.0.1", Error::Missing),
            ("--ipv4", Error::Unknown("--ipv4")),
            ("--ipv6=::1", Error::Unknown("--ipv6=::1")),
            ("--ipv4=10.0.0.2", Error::Cidr("10.0.0.2")),
            ("--ipv4=10.0.0.2/33", Error::Cidr("10.0.0.2/33")),
            ("--ipv4=10.0.0.2/0", Error::Cidr("10.0.0.2/0")),
            ("--ipv4=10.0.0.256/24", Error::Cidr("10.0.0.256/24")),
            ("--ipv4=224.0.0.1/24", Error::Cidr("224.0.0.1/24")),
            ("--ipv4=127.0.0.1/8", Error::Cidr("127.0.0.1/8")),
            ("--ipv4=10.0.0.2/24 --ipv4=10.0.0.2/24", Error::Twice("--ipv4")),
            ("--ipv4=10.0.0.2/24 --ipv4-gateway=nowhere", Error::Address("nowhere")),
            (
                "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.1.1",
                Error::Outside(Ipv4Address::new(10, 0, 1, 1)),
            ),
        ] {
            assert_eq!(Options::parse(line), Err(error), "{line}");
        }
    }
}
