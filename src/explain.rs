//! What the errors of the layers mean to a person and a script: for each variant, in this one place, its kind (and so the
//! exit status) and its hints.

mod process;
