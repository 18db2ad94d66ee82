export * from "@noble/hashes/legacy.js";
