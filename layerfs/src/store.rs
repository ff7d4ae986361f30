//! [`Store`]: an OCI image layout with what lbuild keeps beside it.
