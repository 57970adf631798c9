"""The paper's data sets in their own layouts, at full size; read when they are asked for."""
