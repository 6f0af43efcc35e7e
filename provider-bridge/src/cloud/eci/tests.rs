//! Client behaviour against an in-process cloud.
