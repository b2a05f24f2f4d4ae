//! Images: content-addressed blobs, references, chains of layers, base images
