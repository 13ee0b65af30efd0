//! Application rules: any text is rules, or errors that say where.
#![no_main]

use dwell_attribution::AppRules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (_, errors) = AppRules::from_texts([("fuzz.toml", text)]);
    for error in errors {
        assert!(error.to_string().contains("fuzz.toml"));
    }
});
