/** The secret of access tokens in tests without their own settings. */
export const testSecret = 'b7d0f6c2a94e1835d7c0964fb23e8a51f06dc8b9e47135a2908f6bd3c1e5a742';
