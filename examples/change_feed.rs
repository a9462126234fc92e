//! Following what others write: from a cursor, so that nothing is missed between two looks.

use memlife::{Event, Events, Result};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<()> {
    let memory = memlife::open("memory:").await?;
    // Without a cursor the feed begins now, and says where that is.
    let mut cursor = match memory.changes(None, 100, Duration::ZERO).await? {
        Events::Page(_, cursor) | Events::Gap(cursor) => cursor,
    };

    let writer = memory.clone();
    let writing = tokio::spawn(async move {
        for step in ["planned", "built", "tested"] {
            writer.put("project/state", step).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        writer.delete("project/state").await
    });

    loop {
        match memory.changes(Some(cursor.clone()), 100, Duration::from_secs(5)).await? {
            Events::Page(events, next) => {
                cursor = next;
                let mut is_over = false;
                for event in &events {
                    is_over |= matches!(event, Event::Removed { .. });
                    tell(event)?;
                }
                if is_over {
                    break;
                }
            }
            // Too far behind: a real consumer lists everything here, then goes on.
            Events::Gap(next) => cursor = next,
        }
    }
    println!("go on later from the cursor {cursor}");
    if let Ok(written) = writing.await {
        written?;
    }
    Ok(())
}

fn tell(event: &Event) -> Result<()> {
    match event {
        Event::Put(entry) => println!("{}: {}", entry.key, entry.parse::<String>()?),
        Event::Removed { key, cause } => println!("{key}: gone, {cause}"),
    }
    Ok(())
}
