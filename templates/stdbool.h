// C11, 7.18. The macros true and false are in the preamble, and bool is a type there.
