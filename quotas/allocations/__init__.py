"""Vouchers, allocations, holds, charges, withdrawals."""
