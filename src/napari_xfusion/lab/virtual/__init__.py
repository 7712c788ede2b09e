"""Virtual experiments: noise, sampling in time and space, disturbances, and synthetic radiographs."""
