//! Every target under libFuzzer: `BULKHEAD_FUZZ_TARGET` names it, the arguments are libFuzzer's.
#![no_main]

use std::sync::OnceLock;

use bulkhead_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("BULKHEAD_FUZZ_TARGET").expect("BULKHEAD_FUZZ_TARGET names a target");
        bulkhead_fuzz::target(&name).expect("BULKHEAD_FUZZ_TARGET is a name of `fuzz --list`")
    });
    target(data);
});
