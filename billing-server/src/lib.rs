//! The billing service: balances in real time, warnings before a payment is due, every charge explained, over gRPC.

pub mod domain;
pub mod time;
pub mod engine;
pub mod jobs;
pub mod config;
pub mod telemetry;
pub mod status;
pub mod convert;
pub mod auth;
pub mod feed;
pub mod services;
pub mod audit;
pub mod commands;
pub mod server;
