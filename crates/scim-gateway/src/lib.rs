//! scim-gateway
