//! Tells the program which release of the library it is built with.

use std::fs;

fn main() {
    println!("cargo:rerun-if-changed=Cargo.toml");
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let line = manifest.lines().find(|line| line.starts_with("rdkafka")).unwrap();
    let release = line.split("\"=").nth(1).unwrap().split('"').next().unwrap();
    println!("cargo:rustc-env=RDKAFKA_RELEASE={release}");
}
