//! One integration binary that drives the real program and the library through its public face.

mod run;
