use super::{Life, Peer};
use crate::compare::load::Line;
use crate::compare::operation::Operation;
use crate::compare::place::Place;
use crate::drive::Pair;
use crate::stage::{HOUR_MS, plain_connection};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use redis::aio::MultiplexedConnection;

/// Replaces a value that is still what was read.
const SWAP: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";
/// Commands of a pipeline.
const PIPELINE: usize = 1_000;

/// The plain commands of a Redis server.
pub struct RawRedis {
    connection: MultiplexedConnection,
    swap: String,
}

impl Peer for RawRedis {
    // The server removes what is over by itself.
    fn lacks(operation: Operation) -> bool {
        use Operation::*;
        matches!(operation, PutCompressed | GetCompressed | Export | Sweep(_))
    }

    async fn open(place: &Place) -> Result<Self> {
        let mut connection = plain_connection(&place.server_url()?).await?;
        let swap = redis::cmd("SCRIPT").arg("LOAD").arg(SWAP).query_async(&mut connection).await?;
        Ok(RawRedis { connection, swap })
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        ensure!(life == Life::Hour, "the server takes no deadline that is past");
        let mut set = redis::cmd("SET");
        set.arg(key).arg(&value.bytes[..]).arg("PX").arg(HOUR_MS);
        Ok(set.query_async(&mut self.connection.clone()).await?)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let mut get = redis::cmd("GET");
        let value: Option<Vec<u8>> = get.arg(key).query_async(&mut self.connection.clone()).await?;
        Ok(value.map(Bytes::from))
    }

    async fn swap(&self, (key, value): &Pair) -> Result<bool> {
        let seen = self.get(key).await?.with_context(|| format!("{key} is missing"))?;
        let mut swap = redis::cmd("EVALSHA");
        swap.arg(&self.swap).arg(1).arg(key).arg(&seen[..]).arg(&value.bytes[..]).arg(HOUR_MS);
        Ok(swap.query_async(&mut self.connection.clone()).await?)
    }

    async fn add(&self, key: &str) -> Result<()> {
        Ok(redis::cmd("INCR").arg(key).query_async(&mut self.connection.clone()).await?)
    }

    async fn page(&self, after: Option<String>, limit: usize) -> Result<Option<String>> {
        let cursor = after.unwrap_or_else(|| "0".to_owned());
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(limit);
        let (next, keys): (String, Vec<String>) = scan.query_async(&mut self.connection.clone()).await?;
        std::hint::black_box(keys);
        Ok(Some(next).filter(|next| next != "0"))
    }

    async fn import(&self, lines: &[String]) -> Result<()> {
        let mut connection = self.connection.clone();
        for lines in lines.chunks(PIPELINE) {
            let mut pipeline = redis::pipe();
            for line in lines {
                let line: Line<'_> = serde_json::from_str(line)?;
                let end = line.expires_at.as_millisecond();
                pipeline.cmd("SET").arg(line.key).arg(line.value.get()).arg("PXAT").arg(end).ignore();
            }
            let () = pipeline.query_async(&mut connection).await?;
        }
        Ok(())
    }
}
