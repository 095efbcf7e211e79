"""Tables and figures of papers: what they train and measure, at which scale, and how they are laid out."""
