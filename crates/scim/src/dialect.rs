//! Where real clients deviate: one small rule each, with its source.
