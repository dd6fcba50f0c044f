//! Prints random bytes from both releases of `getrandom`, or why there are none.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use solo5::{SeedError, Start, println};

const _: &str = include_str!("../manifest.yaml"); // build again when it changes

solo5::main!(random);

fn random(start: &Start) -> Result<(), &'static str> {
    if start.command_line() == Ok("take") {
        let taken = solo5::seed().map_err(|_| "no seed")?;
        println!("Seed: {} bytes, then {:?}", taken.len(), solo5::seed());
    }
    let (mut new, mut old) = ([0u8; 40], [0u8; 40]);
    match (getrandom::fill(&mut new), getrandom03::fill(&mut old)) {
        (Ok(()), Ok(())) => println!("Random: {new:02x?}\nRandom: {old:02x?}"),
        (Err(error), Err(_)) if error == solo5::random::NOT_OFFERED => {
            println!("Not offered: {:?}", solo5::seed() == Err(SeedError::NotOffered));
        }
        (Err(error), Err(_)) if error == solo5::random::TAKEN => println!("Taken"),
        _ => return Err("the two releases differ"),
    }
    println!("SUCCESS");
    Ok(())
}
