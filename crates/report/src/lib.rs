//! Charts and self-contained HTML pages of studies, runs and networks.
