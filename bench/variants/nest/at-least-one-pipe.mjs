import { BadRequestException } from '@nestjs/common';

/** For the number of a row: ParseIntPipe, which runs before it, lets 0 and negative ones through. */
export class AtLeastOnePipe {
  transform(value) {
    if (value < 1) throw new BadRequestException('Validation failed (a number from 1 is expected)');
    return value;
  }
}
