#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for (name, target) in bulkhead_fuzz::TARGETS {
        if *name == "peer_state_machine" {
            target(data);
        }
    }
});
