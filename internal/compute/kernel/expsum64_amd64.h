// REDUCE64 adds the 8 lanes in Y0 and Y1 as ExpSum64 says. The sum is the first number of X0.
#define REDUCE64 \
	VADDPD       Y1, Y0, Y0;    \ // 0+4, 1+5, 2+6, 3+7
	VEXTRACTF128 $1, Y0, X1;    \
	VADDPD       X1, X0, X0;    \
	VPSHUFD      $0x4e, X0, X1; \
	VADDSD       X1, X0, X0
