import { maxPerUser } from '../memory.ts';
import type { Connection } from './connection.ts';
import { appendTo } from './keys.ts';

/** How a user's sessions are listed: by the replica that holds the stream, and the session. */
export const memberOf = (replica: string, mark: string) => `${replica}:${mark}`;

export interface SharesOptions {
  readonly self: string;
  readonly redis: Connection;
  readonly isAlive: (replica: string) => Promise<boolean>;
  /** Ends one of our own streams. */
  readonly end: (mark: string) => void;
}

/** The share of one user, on all replicas. */
export function createShares({ self, redis, isAlive, end }: SharesOptions) {
  return {
    /** Ends what is too much, on whichever replica: sessions of dead replicas are forgotten, then the oldest end. */
    async makeRoom(key: string): Promise<void> {
      const all = ((await redis.send(['ZRANGE', key, '0', '999'])) as string[]).map((member) => {
        const [replica = '', mark = ''] = member.split(':');
        return { member, replica, mark };
      });
      const lives = await Promise.all(all.map(({ replica }) => isAlive(replica)));
      const living = all.filter((_, index) => lives[index]);
      const surplus = living.slice(0, Math.max(0, living.length - maxPerUser));
      const gone = [...all.filter((_, index) => !lives[index]), ...surplus];
      if (gone.length > 0) await redis.send(['ZREM', key, ...gone.map(({ member }) => member)]);
      for (const { replica, mark } of surplus) {
        if (replica === self) end(mark);
        else await redis.send(appendTo(replica, ['t', 'end', 's', mark]));
      }
    },
  };
}
