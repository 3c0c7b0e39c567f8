//! playhouse-statefulset
