//! identity-service
