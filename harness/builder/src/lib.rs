//! The Dockerfile builder: parser, build context, layer cache, execution
