//! Fetches one URL with ureq over rustls (ring). usage: get-rustls URL CA

use std::sync::Arc;

use ureq::tls::{Certificate, RootCerts, TlsConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(ca)) = (args.next(), args.next()) else {
        return Err("usage: get-rustls URL CA".into());
    };
    let root = Certificate::from_pem(&std::fs::read(ca)?)?;
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&[root]))
        .build();
    let agent = ureq::Agent::config_builder().tls_config(tls).build().new_agent();
    let mut answer = agent.get(&url).call()?;
    println!("{} {}", answer.status(), answer.body_mut().read_to_string()?.len());
    Ok(())
}
