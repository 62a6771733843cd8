//! The C++ libraries that this process loads end it with `abort`: they shall find the one that says why (`sandbox/src/last_words.rs`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=abort");
}
