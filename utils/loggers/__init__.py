"""Where the figures and pictures of a training can be watched: TensorBoard, Weights & Biases, MLflow."""
