//! Everything that is tested from outside: the library's promises and the program `zoo` as users meet it.

mod data;
mod decisions;
mod docs;
mod answer;
mod bound;
mod catalogue;
mod context;
mod exchange;
mod export;
mod fit;
mod fuzz;
mod generate;
mod golden;
mod laws;
mod machine;
mod growth;
mod guard;
mod messages;
mod plan;
mod program;
mod run;
mod schema;
mod stages;
mod submit;
mod terminal;
mod torture;
