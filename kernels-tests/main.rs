//! Kernels against their f64 twins and against the laws; one module per room.
mod adapters;
mod adjoints;
mod assembler;
mod attention;
#[cfg(feature = "cli")]
mod autoencoders;
mod authors;
#[cfg(feature = "cli")]
mod bad;
mod bands;
#[cfg(feature = "cli")]
mod bench;
mod budget;
mod ceilings;
#[cfg(feature = "cli")]
mod check;
mod checks;
mod circulation;
#[cfg(feature = "cli")]
mod cli;
mod common;
#[cfg(feature = "cli")]
mod closures;
mod compare;
mod compiled;
mod cotangents;
mod curl;
mod cycles;
mod data;
#[cfg(feature = "cli")]
mod derivatives;
mod diffusers;
#[cfg(feature = "cli")]
mod elsewhere;
mod ends;
#[cfg(feature = "cli")]
mod errors;
mod examples;
mod exploding;
mod exported;
mod families;
#[cfg(feature = "cli")]
mod faults;
#[cfg(feature = "cli")]
mod figures;
mod flows;
mod folder;
mod funnel;
mod fusion;
mod golden;
mod graphs;
mod held;
#[cfg(feature = "cli")]
mod help;
mod hostile;
mod house;
#[cfg(feature = "cli")]
mod init;
mod labels;
mod latents;
mod levels;
mod lid;
mod layouts;
#[cfg(feature = "cli")]
mod long;
mod maps;
mod measures;
#[cfg(feature = "cli")]
mod names;
mod networks;
#[cfg(feature = "cli")]
mod notfinite;
mod onnx;
mod onnx_bad;
mod onnx_bytes;
mod onnx_docs;
mod onnx_models;
mod onnx_native;
mod onnx_nodes;
mod ops;
#[cfg(feature = "cli")]
mod output;
#[cfg(feature = "cli")]
mod page;
mod paths;
mod planes;
#[cfg(feature = "cli")]
mod points;
mod portability;
mod predictions;
mod processes;
mod quadrature;
mod random;
mod readers;
mod report;
#[cfg(feature = "cli")]
mod resume;
mod run;
mod sample;
mod schedulers;
mod session;
#[cfg(feature = "cli")]
mod settled;
#[cfg(feature = "cli")]
mod shards;
#[cfg(feature = "cli")]
mod sides;
#[cfg(feature = "cli")]
mod start;
mod stein;
mod summaries;
mod tangents;
mod tiles;
mod translations;
mod transposes;
mod unet2d;
mod variants;
#[cfg(feature = "cli")]
mod verdicts;
#[cfg(feature = "cli")]
mod verbs;
mod weights;
mod webgpu;
mod winograd;
