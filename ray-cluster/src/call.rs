//! Calls in frames; [`frame`](crate::frame) describes their form.

use std::io;
use std::sync::Arc;

use ray_core::__private::EncodedArg;
use ray_core::__private::executor::fail;
use ray_core::{Result, TraceContext};

use crate::document::{Document, ReadDocuments};
use crate::frame::{PLAIN, Reader, Writer, malformed};
use crate::link::Link;
use crate::object::Object;

/// A call that is sent.
pub(crate) struct Call<'a> {
    pub(crate) task: u64,
    /// What is called, for the errors of its arguments.
    pub(crate) name: &'a str,
    pub(crate) document: &'a [u8],
    pub(crate) trace: Option<&'a TraceContext>,
    /// No object among them is [`unready`](Link::unready).
    pub(crate) args: &'a [EncodedArg],
}

/// What stands in place of the value of an argument.
const VALUE: u8 = 0;
const OBJECT: u8 = 1;
const OBJECTS: u8 = 2;

impl Call<'_> {
    /// Writes the call. The objects that were stored for its arguments must live until the frame is sent; they are added to `stored`.
    ///
    /// # Errors
    /// Those of [`Link::write_value`]; the error of an argument that has failed.
    pub(crate) fn write(&self, link: &Arc<Link>, frame: &mut Writer, stored: &mut Vec<Arc<Object>>) -> Result<()> {
        frame.u8(u8::from(self.is_plain())).u64(self.task);
        frame.blob(self.document).expect("a document is short");
        frame.text(self.trace.map_or("", TraceContext::as_text)).expect("a trace context is short");
        frame.u16(u16::try_from(self.args.len()).expect("a function has few parameters"));
        for arg in self.args {
            match arg {
                EncodedArg::Value(value) => link.write_value(frame.u8(VALUE), value, stored)?,
                EncodedArg::Reference(reference) => {
                    let numbers = reference.objects().iter().map(|object| link.number_of(object)).collect::<Option<Vec<_>>>();
                    match numbers.as_deref() {
                        Some([number]) if !reference.is_vector() => _ = frame.u8(OBJECT).u64(*number),
                        Some(numbers) => {
                            frame.u8(OBJECTS).u32(u32::try_from(numbers.len()).expect("a vector in memory has fewer elements"));
                            numbers.iter().for_each(|number| _ = frame.u64(*number));
                        }
                        None => {
                            let value = reference.encode_value().map_err(|error| fail::argument(self.name, error))?;
                            link.write_value(frame.u8(VALUE), &value, stored)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn is_plain(&self) -> bool {
        let lengths = self.args.iter().map(|arg| match arg {
            EncodedArg::Value(value) if value.carried.is_empty() => Some(value.bytes.len()),
            EncodedArg::Value(_) | EncodedArg::Reference(_) => None,
        });
        lengths.sum::<Option<usize>>().is_some_and(|length| length + self.document.len() <= PLAIN)
    }
}

/// A call that was received. Its arguments are values.
pub(crate) struct ReadCall {
    pub(crate) task: u64,
    pub(crate) document: Arc<Document>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) args: Vec<EncodedArg>,
}

impl ReadCall {
    /// # Errors
    /// The frame is malformed.
    pub(crate) fn read(link: &Arc<Link>, documents: &ReadDocuments, frame: &mut Reader<'_>) -> io::Result<Self> {
        frame.u8()?;
        let task = frame.u64()?;
        let document = documents.read(frame.blob()?).map_err(io::Error::other)?;
        let trace = TraceContext::of_text(&frame.text()?);
        let count = frame.u16()?;
        let args = (0..count).map(|_| match frame.u8()? {
            VALUE => Ok(EncodedArg::from(link.read_value(frame)?)),
            other => Err(malformed(format!("a call with an argument of kind {other}"))),
        });
        Ok(Self { task, args: args.collect::<io::Result<_>>()?, document, trace })
    }
}
