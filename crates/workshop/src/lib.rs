//! The design pipeline: from a data set and a budget to a network that fits.
