//! The methods of a queue for async code. They run on any executor.

use ray_core::__private::AnyValue;
use ray_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rules::Request;
use super::{GetError, PutBatchError, PutError, Queue, get, get_batch, put, put_batch, size};

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Queue<T> {
    /// As [`put`](Self::put), for async code. For a time-out use that of the executor, such as `tokio::time::timeout`: if the
    /// future is dropped while it waits, the item is dropped and not put.
    ///
    /// # Errors
    /// Those of [`put`](Self::put).
    ///
    /// ```
    /// use ray::remote;
    /// use ray::util::Queue;
    ///
    /// #[remote]
    /// async fn forward(from: Queue<u64>, to: Queue<u64>) -> ray::Result<()> {
    ///     to.put_async(from.get_async().await? + 1).await
    /// }
    ///
    /// let (first, second) = (Queue::bounded(1)?, Queue::bounded(1)?);
    /// let forwarded = forward.remote(&first, &second);
    /// first.put(6)?;
    /// assert_eq!(second.get()?, 7);
    /// ray::get(forwarded)?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub async fn put_async(&self, item: T) -> Result<()> {
        let item = AnyValue::new(item);
        put::<T>(self.client.wait_async(|ticket| Request::Put(item, Some(ticket))).await).map_err(Error::from)
    }

    /// As [`get`](Self::get), for async code. If the future is dropped while it waits, no item is lost.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub async fn get_async(&self) -> Result<T> {
        get(self.client.wait_async(|ticket| Request::Get(Some(ticket))).await).map_err(Error::from)
    }

    /// As [`put_nowait`](Self::put_nowait), for async code.
    ///
    /// # Errors
    /// Those of [`put_nowait`](Self::put_nowait).
    pub async fn put_nowait_async(&self, item: T) -> Result<(), PutError<T>> {
        put(self.client.now_async(Request::Put(AnyValue::new(item), None)).await)
    }

    /// As [`get_nowait`](Self::get_nowait), for async code.
    ///
    /// # Errors
    /// Those of [`get_nowait`](Self::get_nowait).
    pub async fn get_nowait_async(&self) -> Result<T, GetError> {
        get(self.client.now_async(Request::Get(None)).await)
    }

    /// As [`put_nowait_batch`](Self::put_nowait_batch), for async code.
    ///
    /// # Errors
    /// Those of [`put_nowait_batch`](Self::put_nowait_batch).
    pub async fn put_nowait_batch_async(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutBatchError<T>> {
        let items = items.into_iter().map(AnyValue::new).collect();
        put_batch(self.client.now_async(Request::PutBatch(items)).await)
    }

    /// As [`get_nowait_batch`](Self::get_nowait_batch), for async code.
    ///
    /// # Errors
    /// Those of [`get_nowait_batch`](Self::get_nowait_batch).
    pub async fn get_nowait_batch_async(&self, count: usize) -> Result<Vec<T>, GetError> {
        get_batch(self.client.now_async(Request::GetBatch(count)).await)
    }

    /// As [`size`](Self::size), for async code.
    ///
    /// # Errors
    /// Those of [`size`](Self::size).
    pub async fn size_async(&self) -> Result<usize> {
        Ok(size(self.client.now_async(Request::Size).await?)?.0)
    }
}
