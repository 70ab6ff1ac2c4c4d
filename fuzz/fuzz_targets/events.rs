#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wukong_dashboard::server::fuzz::run("events", data));
