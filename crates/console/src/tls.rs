//! The server's side of TLS: certificate and key from files. Listens nowhere.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::BindError;

/// TLS 1.2 and 1.3 with a certificate chain and its key, both PEM.
pub(crate) fn server_config(
    certificate: &Path,
    key: &Path,
) -> Result<Arc<ServerConfig>, BindError> {
    let refused = |path: &Path, reason: String| BindError::Tls { path: path.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| refused(certificate, error.to_string()))?;
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|error| refused(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| refused(certificate, error.to_string()))?;
    Ok(Arc::new(config))
}
