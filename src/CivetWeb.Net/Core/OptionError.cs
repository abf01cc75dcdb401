using System;
using System.Diagnostics.CodeAnalysis;

namespace CivetWeb.Net.Core;

/// <summary>A mistake in the options, named after the parameter every StartServer has for them.</summary>
internal static class OptionError
{
    [SuppressMessage("Usage", "CA2208", Justification = "The parameter is that of the public methods, some calls up.")]
    public static ArgumentException Create(string message) => new(message, "options");
}
