//! Comparing arms: statistics, tables, figures, one HTML page.
